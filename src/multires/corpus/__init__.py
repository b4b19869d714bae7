"""Speech in: utterances with timed phones and words."""
