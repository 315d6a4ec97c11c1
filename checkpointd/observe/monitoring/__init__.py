"""What a monitoring system needs: alert rules, a dashboard and a scrape configuration."""
