"""What a user may turn when applying a restorer: perception, steps, consistency, masks; and the drift of colours."""
