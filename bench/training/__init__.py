"""Training: short trainings from scratch, and the accuracy that they reach.

Recipe -> seeds, augment, batches, optimiser -> loop.fit -> Fit -> accuracy.measure_accuracy -> Measurements
                                                   |
                                               checkpoint
"""
