"""What is deployed: one CDK stack per environment, described by one module per part."""
