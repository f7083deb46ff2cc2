// Makes users of a MinIO that may do only what a policy says.
//
// usage: minio-admin HOST:PORT KEY SECRET user NAME SECRET POLICY-FILE
//
// KEY and SECRET are the administrator's; plain HTTP. NAME may exist: its
// secret and policy are replaced.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/minio/madmin-go/v3"
)

func run(args []string) error {
	if len(args) != 7 || args[3] != "user" {
		return fmt.Errorf("usage: minio-admin HOST:PORT KEY SECRET user NAME SECRET POLICY-FILE")
	}
	name, secret := args[4], args[5]
	policy, err := os.ReadFile(args[6])
	if err != nil {
		return err
	}
	c, err := madmin.New(args[0], args[1], args[2], false)
	if err != nil {
		return err
	}
	ctx := context.Background()
	if err = c.AddCannedPolicy(ctx, name, policy); err != nil {
		return err
	}
	if err = c.AddUser(ctx, name, secret); err != nil {
		return err
	}
	_, err = c.AttachPolicy(ctx, madmin.PolicyAssociationReq{
		Policies: []string{name}, User: name})
	// Attached already is as good.
	if r := madmin.ToErrorResponse(err); r.Code == "XMinioAdminPolicyChangeAlreadyApplied" {
		err = nil
	}
	return err
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "minio-admin:", err)
		os.Exit(1)
	}
}
