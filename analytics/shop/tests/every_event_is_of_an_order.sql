-- Whatever happened, happened to an order that was placed. While events are under way some may be ahead of theirs.
{{ config(severity='warn', meta={'dagster': {'ref': {'name': 'stg_steps'}}}) }}
select distinct order_id from {{ ref('stg_steps') }}
where order_id not in (select order_id from {{ ref('stg_placed') }})
