"""Installs the service: writes the units, their drop-ins and a first config, and removes them."""
