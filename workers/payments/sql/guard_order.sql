-- See that an order is not paid for yet, and that nobody else pays for it meanwhile. One that was given up can still be paid:
-- its customer may have been slower than we thought.
-- Returns: one row if so.
SELECT payment_orders.id
FROM payment_orders
WHERE payment_orders.id = %(id)s AND payment_orders.state <> 2
FOR UPDATE
