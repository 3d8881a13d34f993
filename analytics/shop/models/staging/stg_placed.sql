-- One row an order as it was placed; money in minor units.
select
    order_id,
    customer.id as customer_id,
    currency,
    allow_partial,
    len(lines) as line_count,
    list_sum(list_transform(lines, lambda line: line.quantity * line.unit_price))::bigint as ordered_amount,
    event_time as placed_at
from {{ source('lake', 'order_created') }}
qualify row_number() over (partition by order_id order by event_time, event_id) = 1
