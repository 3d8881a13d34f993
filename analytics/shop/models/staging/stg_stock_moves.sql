-- One row a line that moved stock, by the event that moved it.
{% set moves = [('held', 'stock_reserved'), ('sold', 'inventory_updated'), ('restored', 'stock_restored')] %}
{% for move, event in moves %}
select '{{ move }}' as move, order_id, event_date as day, line.sku as sku, line.quantity as quantity
from (select order_id, event_date, unnest(lines) as line from {{ source('lake', event) }})
{% if not loop.last %}union all{% endif %}
{% endfor %}
