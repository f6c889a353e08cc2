// Command policies enforces NetworkPolicies: packets that begin a connection, which the machine's rules put into queue 100, are
// judged by kube-network-policies. Its own program judges one node's pods, by rules of nftables that not every kernel can have.
package main

import (
	"context"
	"flag"

	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	"sigs.k8s.io/kube-network-policies/pkg/networkpolicy"
)

func main() {
	kubeconfig := flag.String("kubeconfig", "", "whose API server is asked")
	klog.InitFlags(nil)
	flag.Parse()
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		klog.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		klog.Fatal(err)
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	controller, err := networkpolicy.NewController(client, factory.Networking().V1().NetworkPolicies(), factory.Core().V1().Namespaces(),
		factory.Core().V1().Pods(), nil, nil, nil, nil, networkpolicy.Config{QueueID: 100, NodeName: "none"})
	if err != nil {
		klog.Fatal(err)
	}
	factory.Start(context.Background().Done())
	klog.Fatal(controller.Run(context.Background()))
}
