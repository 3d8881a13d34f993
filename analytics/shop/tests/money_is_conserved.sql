-- No order gives back more than was taken, and none that is completed was given back.
select order_id from {{ ref('orders') }}
where refunded > captured or (outcome = 'COMPLETED' and (refunded > 0 or captured = 0))
