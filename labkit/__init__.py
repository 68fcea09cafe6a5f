"""The methods of the book, one idea a file.

    min_θ  E_{T ~ p(T)} [ L_T( f_θ' ) ]      with   θ' = Adapt(θ, support_T)

`labkit.tasks` is p(T), an `Episode` is one draw of it, every learner in
`labkit.learners` is an Adapt and an f_θ', `labkit.objective` is the expectation,
`labkit.training.meta_train` the minimisation and `labkit.evaluation.evaluate` the
honest estimate of what was reached.
"""
