"""The read model: what a flow's Postgres and Kafka tell, typed, by pages, each question bounded in time.

`database.open_database` gives what every question takes first. A list is a `paging.Page`: at most so many items, and
`next`, where to go on. A list that looks through many rows says how far it looked: it is never empty falsely.

- `instances`: runs of the saga, such as orders, by state, customer, time, and whether they are stuck or being retried.
- `timeline`: all that happened to one key, in every service.
- `waiting`: events and calls that are being retried now, and why.
- `dead_letters`: what services gave up; `letter_records`: the records of it in Kafka; `masking` hides what is personal.
- `events`: the records of a topic, browsed, with how far was looked.
- `in_flight`: what services have begun and not ended, for a plan.
- `topics`, `lag`: partitions and leaders; how far each subscription is behind, in time.

Raise `errors.ReadError`, whose `problem` and `remedy` are for the person who asked.
"""
