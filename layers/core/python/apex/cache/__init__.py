"""The semantic plan cache: structure first, embedding second; never the wrong plan."""
