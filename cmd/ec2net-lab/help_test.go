package main

import (
	"testing"

	"ec2net/test/testkit"
)

// The help of every command fits a terminal of 80 columns.
func TestHelpFits(t *testing.T) { testkit.HelpFits(t, newRoot()) }
