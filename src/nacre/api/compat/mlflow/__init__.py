"""MLflow's REST protocol over Nacre's services, for MLflow's own, unmodified client."""
