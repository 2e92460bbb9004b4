"""The AWS API over HTTP: moto, made strict and persistent."""
