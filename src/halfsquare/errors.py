"""What can go wrong, as one tree.

    HalfsquareError                 everything this package raises on purpose
    ├── DataError                   the rows: what was found, what was expected, and where
    │   ├── ShapeError              two arrays that do not belong together
    │   └── NotFiniteError          NaN or infinity where a number is needed
    ├── OptionError                 an option, or two that contradict each other
    ├── FormulaError                a formula that cannot be read, or not be fitted
    ├── FitError                    the numbers allow no fit
    ├── ClusterError                a cluster that cannot be reached, or whose workers cannot work
    ├── ModelFileError              a model or a file of sums: damaged, foreign or too new
    ├── CheckpointError             a checkpoint that is damaged, or of another fit
    ├── LimitError                  the system allows too little memory, threads or address space
    └── OutputError                 a result that could not be written

All but the last five are ``ValueError`` too, so that code written for
scikit-learn catches them. The command line prints the message alone and exits with 1.
"""

from __future__ import annotations


class HalfsquareError(Exception):
    """Base of every error that this package raises on purpose."""


class DataError(HalfsquareError, ValueError):
    """The data is not what is needed; the message names file, column and row where they are
    known.
    """


class ShapeError(DataError):
    """Arrays whose shapes do not match; they are refused, never broadcast."""


class NotFiniteError(DataError):
    """NaN or infinity where a finite number is needed; the message names the row."""


class OptionError(HalfsquareError, ValueError):
    """An option out of its range, or options that contradict each other."""


class FormulaError(HalfsquareError, ValueError):
    """A formula that the allow-list refuses, or whose names do not fit the data."""


class FitError(HalfsquareError, ValueError):
    """The fit cannot be done on these rows."""


class ClusterError(HalfsquareError):
    """A scheduler that does not answer, or workers that are gone, are of another version or lack a
    file.
    """


class ModelFileError(HalfsquareError):
    """A file that is no model or sums of ours, is damaged, or comes from a later version."""


class CheckpointError(HalfsquareError):
    """A checkpoint that is damaged, foreign, too new, or of other data or options; the message
    names the difference.
    """


class LimitError(HalfsquareError):
    """The system allows this process too little memory, too few threads or too little address
    space.
    """


class OutputError(HalfsquareError):
    """A result could not be written: the folder is missing, the disk is full, access is denied."""
