"""One command that carries an order-processing system on AWS through its whole life."""

__version__ = "0.1.0"
