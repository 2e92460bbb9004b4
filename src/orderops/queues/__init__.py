"""What lies in the queues of the services, and what becomes of dead letters."""
