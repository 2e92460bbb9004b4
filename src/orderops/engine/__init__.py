"""The engine: resource contract, inventory, scheduler, reconcile, destroy. Knows no kind of resource."""
