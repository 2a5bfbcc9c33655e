"""What every training needs: its folder, its state, its log, its device, and the command line."""
