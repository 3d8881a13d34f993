-- One row an event's type and day: how many fit, how many came more than a day late, how long storing took, what did not fit.
{% set events = [
    'inventory_updated', 'order_cancelled', 'order_completed', 'order_created', 'out_of_stock', 'payment_failed',
    'payment_processed', 'payment_refunded', 'shipment_created', 'shipment_failed', 'stock_reserved', 'stock_restored',
] %}
with told as (
    {% for event in events %}
    select upper('{{ event }}') as event_type, event_time, stored_at, true as fits from {{ source('lake', event) }}
    union all
    {% endfor %}
    select event_type, event_time, stored_at, false as fits from {{ source('lake', 'quarantine') }}
)
select
    event_type,
    event_time::date as day,
    count(*) as events,
    count(*) filter (stored_at > event_time + interval 1 day) as late,
    count(*) filter (not fits) as refused,
    quantile_cont(epoch_us(stored_at) - epoch_us(event_time), 0.99) / 1e6 as p99_seconds_to_store
from told
group by event_type, day
