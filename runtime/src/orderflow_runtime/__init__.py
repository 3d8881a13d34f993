"""The dispatcher: runs a service's handlers over Kafka so that their effects in Postgres happen exactly once."""
