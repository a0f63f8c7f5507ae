"""What an error gives away."""


def everything_said(error: BaseException) -> str:
    """The error and whatever it drags along."""
    said: list[str] = []
    chain = [error]
    while chain:
        link = chain.pop()
        said.append(f"{link} {link!r} {link.args} {vars(link)}")
        chain += [part for part in (link.__cause__, link.__context__) if part is not None]
    return "".join(said)
