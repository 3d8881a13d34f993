-- One row an order and step: when the order first came there, and the amount that the step was about, if any.
{% set steps = [
    ('RESERVED', 'stock_reserved', 'amount'),
    ('OUT_OF_STOCK', 'out_of_stock', 'null'),
    ('PAID', 'payment_processed', 'amount'),
    ('PAYMENT_FAILED', 'payment_failed', 'null'),
    ('SOLD', 'inventory_updated', 'null'),
    ('SHIPPED', 'shipment_created', 'null'),
    ('SHIPMENT_FAILED', 'shipment_failed', 'null'),
    ('COMPLETED', 'order_completed', 'amount'),
    ('CANCELLED', 'order_cancelled', 'null'),
    ('REFUNDED', 'payment_refunded', 'amount'),
    ('RESTORED', 'stock_restored', 'null'),
] %}
{% for step, event, amount in steps %}
select '{{ step }}' as step, order_id, min(event_time) as reached_at, max({{ amount }}::bigint) as amount
from {{ source('lake', event) }}
group by order_id
{% if not loop.last %}union all{% endif %}
{% endfor %}
