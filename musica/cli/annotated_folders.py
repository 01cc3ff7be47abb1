"""The keys by which commands name annotated faces."""

from dataclasses import dataclass

from musica.cli.config import option


@dataclass(frozen=True)
class AnnotatedFolders:
    """Folders of annotated faces, laid out as ``data/README.md`` says."""

    image_dir: str = option("", "folder of the lists' images", path=True)
    gt_path: str = option("", "folder of the true landmarks (default: image_dir)", path=True)
    bb_root: str = option("", "folder of the boxes (default: tight landmark boxes)", path=True)

    @property
    def folders(self) -> tuple[str, str, str]:
        """The three folders, in the order of ``annotated_faces.read_faces``."""
        return self.image_dir, self.gt_path, self.bb_root
