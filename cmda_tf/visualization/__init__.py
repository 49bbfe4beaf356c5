"""The paper's figures, drawn from arrays and tables without any global plotting state."""
