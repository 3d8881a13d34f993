-- One row a day and currency: what was taken and given back on that day, in minor units.
with days as (
    select
        reached_at::date as day,
        currency,
        coalesce(sum(amount) filter (step = 'PAID'), 0)::bigint as captured,
        coalesce(sum(amount) filter (step = 'REFUNDED'), 0)::bigint as refunded,
        count(*) filter (step = 'PAID') as payments,
        count(*) filter (step = 'REFUNDED' and amount > 0) as refunds
    from {{ ref('stg_steps') }}
    join {{ ref('orders') }} using (order_id)
    where step in ('PAID', 'REFUNDED')
    group by reached_at::date, currency
)
select day, currency, captured, refunded, (captured - refunded)::bigint as net, payments, refunds from days
