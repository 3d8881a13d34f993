// Fraud checks each order: an event in, an event out, by the CloudEvents SDK for Go. Nothing in it knows of OrderFlow.
//
// An event may come more than once, always under the same id: the journal has a line for each time.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"strconv"
	"sync"

	cloudevents "github.com/cloudevents/sdk-go/v2"
)

type order struct {
	OrderID string `json:"orderId"`
	Amount  int    `json:"amount"`
}

type checked struct {
	OrderID string `json:"orderId"`
	Check   string `json:"check"`
	Passed  bool   `json:"passed"`
}

var (
	journal *os.File
	writing sync.Mutex
)

func check(event cloudevents.Event) (*cloudevents.Event, cloudevents.Result) {
	var placed order
	if err := event.DataAs(&placed); err != nil {
		return nil, cloudevents.NewHTTPResult(http.StatusBadRequest, "no order: %s", err)
	}
	if err := note(placed.OrderID, event.ID()); err != nil {
		return nil, cloudevents.NewHTTPResult(http.StatusServiceUnavailable, "%s", err)
	}
	reply := cloudevents.NewEvent()
	reply.SetID("fraud-" + event.ID())
	reply.SetSource("/fraud")
	reply.SetType("ORDER_CHECKED")
	passed := checked{placed.OrderID, "fraud", placed.Amount < 100_000}
	if err := reply.SetData(cloudevents.ApplicationJSON, passed); err != nil {
		return nil, err
	}
	return &reply, cloudevents.ResultACK
}

func note(key, id string) error {
	writing.Lock()
	defer writing.Unlock()
	_, err := fmt.Fprintf(journal, "%s %s\n", key, id)
	return err
}

func main() {
	port, err := strconv.Atoi(os.Getenv("PORT"))
	if err != nil {
		log.Fatalf("PORT: %s", err)
	}
	name := os.Getenv("JOURNAL")
	if name == "" {
		name = os.DevNull
	}
	if journal, err = os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600); err != nil {
		log.Fatal(err)
	}
	client, err := cloudevents.NewClientHTTP(cloudevents.WithPort(port))
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(client.StartReceiver(context.Background(), check))
}
