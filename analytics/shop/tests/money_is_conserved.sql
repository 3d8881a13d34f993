-- No order gives back more than was taken, and each that is completed was paid, be it nothing, and not given back.
select order_id from {{ ref('orders') }}
where refunded > captured or (outcome = 'COMPLETED' and (refunded > 0 or paid_at is null))
