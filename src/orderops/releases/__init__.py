"""What became of a release of a service: verdict, causes of failure, record."""
