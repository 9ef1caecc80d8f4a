"""Services that are set up by plain form fields, one file each. All others are reached by the kind `apprise`."""
