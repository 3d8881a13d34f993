-- One row an article and day: what was held, sold and put back, and what all that has taken from the shelf by then.
with days as (
    select
        sku,
        day,
        coalesce(sum(quantity) filter (move = 'held'), 0)::bigint as held,
        coalesce(sum(quantity) filter (move = 'sold'), 0)::bigint as sold,
        coalesce(sum(quantity) filter (move = 'restored'), 0)::bigint as restored
    from {{ ref('stg_stock_moves') }}
    group by sku, day
)
select *, (sum(held - restored) over (partition by sku order by day))::bigint as off_shelf from days
