"""Updates made to plant something: a trigger, or chosen inputs with a label of the attacker's choice."""
