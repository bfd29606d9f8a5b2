"""Training: short trainings from scratch, and the accuracy that they reach.

bench.tasks.accuracy -> config.FitConfig -> fit.fit -> fit.FitResult -> Measurements
                                              |
       prepare, learner (augment, batches, optimiser, parallel), checkpoint, observations
"""
