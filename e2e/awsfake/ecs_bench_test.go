package awsfake

import (
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// BenchmarkDescribe is a call for 100 tasks of a cluster of 10,000.
func BenchmarkDescribe(b *testing.B) {
	a := Start(b, Options{})
	d := a.PutDefinition(types.TaskDefinition{Family: aws.String("pay"), ContainerDefinitions: []types.ContainerDefinition{
		{Name: aws.String("app"), Image: aws.String("registry.example/pay:7")}, {Name: aws.String("log"), Image: aws.String("registry.example/log:7")},
	}})
	var arns []string
	for range 10_000 {
		t := a.NewTask("prod", d, NewTask{Service: "pay"})
		arns = append(arns, *t.TaskArn)
		a.Start(*t.TaskArn, 0)
	}
	c := ecs.NewFromConfig(a.Config())
	for b.Loop() {
		out, err := c.DescribeTasks(b.Context(), &ecs.DescribeTasksInput{Cluster: aws.String("prod"), Tasks: arns[:100]})
		if err != nil || len(out.Tasks) != 100 {
			b.Fatal(fmt.Errorf("%d tasks: %w", len(out.Tasks), err))
		}
		if _, err := c.ListTasks(b.Context(), &ecs.ListTasksInput{Cluster: aws.String("prod")}); err != nil {
			b.Fatal(err)
		}
	}
}
