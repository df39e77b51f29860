"""What happened, and its proof. The bottom floor: knows no change, no approval, no account."""
