"""What records of quality are called where files are attached to them."""

DEFECT, FAI_ITEM, OQC_ITEM, HOLD = "DEFECT", "FAI_ITEM", "OQC_ITEM", "HOLD"
