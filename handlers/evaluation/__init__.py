"""What is served is what is measured: the predictors over annotated data, and the reports."""
