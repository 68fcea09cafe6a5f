"""One method, one file. Each answers the question: what is θ'?"""
