package store

// This file warns about settings of Redis that will lose data some day. Settings that the server
// does not show, as managed servers often do not, are not mentioned.

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

func (s *Store) setupAdvice(ctx context.Context) []string {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	var lines []string
	if !s.cluster {
		if sv, err := role(ctx, s.client); err == nil {
			if major, err := strconv.Atoi(strings.SplitN(sv.version, ".", 2)[0]); err == nil && major < 7 {
				lines = append(lines, fmt.Sprintf("redis is version %s; 7.0 or newer is needed", sv.version))
			}
			if sv.mode == "cluster" {
				lines = append(lines, "redis is a node of a Cluster, but its URL does not say so: add the parameter cluster=true")
			}
		}
	}
	if info, err := s.client.Info(ctx, "persistence").Result(); err == nil && InfoField(info, "aof_enabled") == "0" {
		lines = append(lines, "redis does not keep an append-only file: a restart loses keys, revocations and undelivered events since the last snapshot; set `appendonly yes`")
	}
	if info, err := s.client.Info(ctx, "memory").Result(); err == nil {
		if policy := InfoField(info, "maxmemory_policy"); policy != "" && policy != "noeviction" && InfoField(info, "maxmemory") != "0" {
			lines = append(lines, fmt.Sprintf("redis evicts data when it is full (maxmemory-policy %s): keys, revocations and events would vanish; set `maxmemory-policy noeviction`", policy))
		}
	}
	if groups, err := s.client.XInfoGroups(ctx, s.names.Events()).Result(); err == nil {
		lines = append(lines, foreignGroups(s.names.Events(), groups)...)
	}
	return lines
}

func foreignGroups(stream string, groups []redis.XInfoGroup) []string {
	for _, g := range groups {
		if g.Name != ConsumerGroup {
			return []string{fmt.Sprintf("the stream %s has a consumer group of another program (%q): it will miss events, since they are deleted once they are delivered", stream, g.Name)}
		}
	}
	return nil
}

// InfoField returns a field of the reply to INFO, or nothing.
func InfoField(info, name string) string {
	for line := range strings.Lines(info) {
		if value, found := strings.CutPrefix(line, name+":"); found {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
