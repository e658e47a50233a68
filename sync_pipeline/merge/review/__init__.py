"""What people ask and decide after a run: explain, resolve, undo, audit queries."""
