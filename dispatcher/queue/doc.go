// Package queue is everything of webhook events in Redis: the stream and its helper keys, the steps that move an event between them,
// the books, the dead events and their replay, and the delivery log.
package queue
