-- One row a step of the way to completion: how many orders came so far, how many went no further, and how long it took.
with reached as (
    select order_id, 'PLACED' as step, placed_at as reached_at from {{ ref('orders') }}
    union all
    select order_id, step, reached_at from {{ ref('stg_steps') }} where step in ('RESERVED', 'PAID', 'SOLD', 'SHIPPED', 'COMPLETED')
),
ordered as (
    select
        *,
        list_position(['PLACED', 'RESERVED', 'PAID', 'SOLD', 'SHIPPED', 'COMPLETED'], step) as position,
        epoch_us(reached_at) - lag(epoch_us(reached_at)) over (partition by order_id order by reached_at) as microseconds
    from reached
)
select
    position,
    step,
    count(*) as orders,
    count(*) - coalesce(lead(count(*)) over (order by position), count(*)) as dropped,
    quantile_cont(microseconds, 0.5) / 1e6 as median_seconds,
    quantile_cont(microseconds, 0.99) / 1e6 as p99_seconds
from ordered
group by position, step
