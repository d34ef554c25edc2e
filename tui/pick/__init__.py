"""Pick for me: from what a person wants and what this machine has to the three models to try, each with its reasons."""
