// Address checks each order: a function of Google's functions-framework, that says its own event at K_SINK. Nothing in it
// knows of OrderFlow.
//
// An event may come more than once, always under the same id; so what it says of it has the same id each time, and is
// published once. The journal has a line for each time.
import { appendFileSync } from "node:fs";
import { cloudEvent } from "@google-cloud/functions-framework";
import { CloudEvent, CloudEventV1, HTTP } from "cloudevents";

interface Order {
  orderId: string;
  amount: number;
}

const sink = process.env.K_SINK ?? "";
const journal = process.env.JOURNAL ?? "/dev/null";

cloudEvent("check", async (event: CloudEventV1<Order>) => {
  const order = event.data;
  if (order === undefined) {
    throw new Error("no order");
  }
  appendFileSync(journal, `${order.orderId} ${event.id}\n`);
  const checked = new CloudEvent({
    id: `address-${event.id}`,
    source: "/address",
    type: "ORDER_CHECKED",
    partitionkey: order.orderId,
    data: { orderId: order.orderId, check: "address", passed: order.amount < 100_000 },
  });
  const message = HTTP.structured(checked);
  const headers = message.headers as Record<string, string>;
  const answer = await fetch(sink, { method: "POST", headers, body: message.body as string });
  if (!answer.ok) {
    throw new Error(`${sink} answered ${answer.status}`);
  }
});
