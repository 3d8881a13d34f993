-- A day's revenue in a currency stands in one row, whatever its orders were worth.
select day, currency from {{ ref('revenue') }}
group by day, currency
having count(*) > 1
