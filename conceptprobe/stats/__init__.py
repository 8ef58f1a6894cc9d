"""Statistics every instrument shares: designs and folds, exchanges, intervals, multiplicity, verdicts, power."""
