-- One row an order. Money in minor units; what was given back had been taken, also where nobody told of the taking.
with steps as (
    select
        order_id,
        {% for step in ['reserved', 'paid', 'shipped', 'completed', 'cancelled'] %}
        min(reached_at) filter (step = upper('{{ step }}')) as {{ step }}_at,
        {% endfor %}
        coalesce(max(amount) filter (step = 'PAID'), max(amount) filter (step = 'REFUNDED'), 0) as captured,
        coalesce(max(amount) filter (step = 'REFUNDED'), 0) as refunded
    from {{ ref('stg_steps') }}
    group by order_id
),
cancelled as (
    select order_id, arg_min(reason, event_time) as reason
    from {{ source('lake', 'order_cancelled') }}
    group by order_id
)
select
    placed.*,
    case
        when steps.completed_at is not null then 'COMPLETED'
        when steps.cancelled_at is not null then 'CANCELLED'
        else 'OPEN'
    end as outcome,
    cancelled.reason as cancel_reason,
    steps.reserved_at,
    steps.paid_at,
    steps.shipped_at,
    coalesce(steps.completed_at, steps.cancelled_at) as ended_at,
    coalesce(steps.captured, 0) as captured,
    coalesce(steps.refunded, 0) as refunded
from {{ ref('stg_placed') }} as placed
left join steps using (order_id)
left join cancelled using (order_id)
