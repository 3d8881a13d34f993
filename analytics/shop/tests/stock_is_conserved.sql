-- Nothing is put back that was not held, and nothing is sold that was not held.
select sku from {{ ref('stock_by_day') }}
group by sku
having sum(restored) > sum(held) or sum(sold) > sum(held)
