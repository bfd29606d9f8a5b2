"""A figure: the parameters of each network as bars."""

from bench.report.figures import canvas, figure


@figure("example_bars", title="Parameters", caption="Shorter is smaller.", needs="counted networks")
def draw(table, frame):
    if table.empty or "parameters" not in table:
        return None
    axes = canvas(6, 4).subplots()
    rows = table.dropna(subset=["parameters"])
    axes.barh(rows["label"], rows["parameters"])
    axes.set_xlabel("Parameters")
    axes.set_title("Parameters", loc="left")
    return axes.figure if len(rows) else None
